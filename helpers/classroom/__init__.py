"""The classroom: what only the course needs. Nothing outside it imports it."""
