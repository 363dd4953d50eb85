"""A small library for keeping PyTorch models; `classroom` is the course around it."""
