"""torchao, imported without the lines that it writes where nothing is wrong.

In your own code, write `import torchao`. While it is imported, version 0.18 reports each
compiled kernel for a graphics card that this machine cannot load, and torch adds a note
for torchao's authors. Only these two messages are left out.
"""

from helpers.quiet import leave_out

# Name of the logger -> a regular expression found in the message.
STRAY_LINES = {
    "torchao": "Failed to load ",
    "torch.utils._pytree": "is an Enum subclass",
}

with leave_out(STRAY_LINES):
    import torchao
    import torchao.quantization.pt2e.quantize_pt2e
    import torchao.quantization.pt2e.quantizer.x86_inductor_quantizer

__all__ = ["torchao"]
