"""Would TensorRT take this file? Asked of its published list, or of itself if here."""

import re
import shutil
import subprocess
from pathlib import Path

from helpers.onnx_export import Description

# docs/operators.md of github.com/onnx/onnx-tensorrt, for TensorRT 10.15; read in
# November 2026. What it marks as unsupported is left out, and so are its restrictions.
VERSION = "10.15"
OPSETS = range(9, 24 + 1)
OPERATORS = frozenset(
    """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool
    BatchNormalization BlackmanWindow Cast CastLike Ceil Celu Clip Concat Constant
    ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DeformConv DepthToSpace
    DequantizeLinear Div Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor
    Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool
    Greater GreaterOrEqual GridSample GroupNormalization GRU HammingWindow HannWindow
    HardSigmoid HardSwish Hardmax Identity If ImageScaler InstanceNormalization IsInf
    IsNaN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax Loop LRN LSTM
    LpNormalization LpPool MatMul Max MaxPool Mean MeanVarianceNormalization Min Mish Mod
    Mul Neg NonMaxSuppression NonZero Not OneHot Or Pad ParametricSoftplus Pow PRelu
    QuantizeLinear RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range
    Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence
    RMSNormalization RNN RoiAlign RotaryEmbedding Round STFT ScaledTanh Scan Scatter
    ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax
    Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh TensorScatter
    ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Upsample Where Xor
    """.split()  # noqa: SIM905
)


def obstacles(file: Description) -> list[str]:
    """Return why TensorRT would not take a file, as far as its list says.

    Args:
        file: what `describe` found.

    Returns:
        A few words for each obstacle; empty if there is none.
    """
    found = []
    if file.opset not in OPSETS:
        found.append(f"opset {file.opset} is not in {OPSETS[0]} to {OPSETS[-1]}")
    found += [f"no {name}" for name in file.operators if name not in OPERATORS]
    return found


def command(file: str) -> str:
    """Return the command that builds an engine from a file and times it, on the GPU."""
    return (
        f"trtexec --onnx={file} --saveEngine=digits.plan --minShapes=input:1x1x8x8 "
        "--optShapes=input:64x1x8x8 --maxShapes=input:64x1x8x8"
    )


def build_engine(path: Path) -> str:
    """Run that command where trtexec is installed, in the file's folder.

    Its last words come in the form of TensorRT's own documentation: "&&&& PASSED", and
    before them "GPU Compute Time: min = ... ms, max = ... ms, ... median = ... ms".

    Returns:
        The median of 64 images at once on the GPU, or why there is none.
    """
    if shutil.which("trtexec") is None:
        return "not run: there is no trtexec here; it comes with TensorRT and wants a GPU"
    done = subprocess.run(
        command(path.name).split(), cwd=path.parent, capture_output=True, text=True
    )
    said = done.stdout + done.stderr
    found = re.search(r"GPU Compute Time:.*\bmedian = ([\d.]+) ms", said)
    if done.returncode or not found:
        last = said.strip().splitlines()[-1:] or ["nothing"]
        return f"trtexec failed with {done.returncode}; its last words: {last[0]}"
    return f"median of 64 images at once on the GPU: {found[1]} ms"
