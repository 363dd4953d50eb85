"""The range that loses least information, as TensorRT calibrates activations.

Save, Load, Ship 0.2.0: helpers/quantization/entropy.py · repairs: CHANGELOG.md
"""

import torch

_BINS = 2048
_BINS_A_LEVEL = 16
_COUNTED_AT_ONCE = 1 << 22  # bins: four bytes each


def least_divergence(rows: torch.Tensor, bits: int) -> torch.Tensor:
    """Return the reach, shape (R, 1), that loses least information, for rows (R, N).

    The magnitudes are counted in bins. For each reach, the bins up to it, with all that
    is clipped in the last, are compared with the same merged into one bin a level and
    spread again: the reach with the smallest Kullback-Leibler divergence is taken.
    Source: S. Migacz, "8-bit Inference with TensorRT", GTC 2017. There are 16 bins a
    level as there (2048 for 8 bits; never more, so from 12 bits on nothing is clipped), and at most
    a 16th of the largest magnitude upwards.

    >>> values = torch.cat([torch.linspace(-1, 1, 2000), torch.tensor([8.0])])
    >>> least_divergence(values.unsqueeze(0), bits=8)
    tensor([[1.]])
    """
    levels = 2 ** (bits - 1)
    bins = min(_BINS_A_LEVEL * levels, _BINS)
    parts = rows.split(max(1, _COUNTED_AT_ONCE // bins))
    return torch.cat([_least(part, min(levels, bins), bins) for part in parts])


def _least(rows: torch.Tensor, levels: int, bins: int) -> torch.Tensor:
    largest = rows.abs().amax(dim=1, keepdim=True)
    places = rows.abs() / largest.clamp(min=torch.finfo(torch.float32).tiny) * bins
    places = places.long().clamp_(max=bins - 1)
    counts = rows.new_zeros(len(rows), bins)
    counts.scatter_add_(1, places, torch.ones_like(rows))
    least, best = torch.full_like(largest, torch.inf), largest
    for end in range(bins, levels - 1, -max(1, levels // 4)):
        kept = counts[:, :end].clone()
        kept[:, -1] += counts[:, end:].sum(dim=1)
        divergence = _divergence(kept, counts[:, :end], levels)
        better = divergence < least
        least = torch.where(better, divergence, least)
        best = torch.where(better, largest * end / bins, best)
    return best


def _divergence(kept: torch.Tensor, inside: torch.Tensor, levels: int) -> torch.Tensor:
    """Return how much the levels tell less than the bins do, shape (R, 1)."""
    end = kept.shape[1]
    level = torch.arange(end, device=kept.device) * levels // end
    filled = (kept > 0).float()
    sums, holders = (
        torch.zeros(len(kept), levels, device=kept.device).index_add_(1, level, each)
        for each in (inside, filled)
    )
    spread = (sums / holders.clamp(min=1))[:, level].clamp_(min=1e-4) * filled
    p, q = (each / each.sum(dim=1, keepdim=True) for each in (kept, spread))
    terms = torch.where(filled > 0, p * (p / q).log(), 0)
    return terms.sum(dim=1, keepdim=True)
