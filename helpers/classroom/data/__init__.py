"""The digits, the two models that ship with their weights, and the small models."""
