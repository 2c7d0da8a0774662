"""Fits surrogates to tables of evaluations and reports how good they are, offline; `surrogates` is what a step asks."""
