"""Measures the speed of children, steps and decoders, offline, and compares children with a user's own loops."""
