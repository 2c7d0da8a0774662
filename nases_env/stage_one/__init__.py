"""Stage 1 of the paper (v1, section 4.1), done offline: it trains the autoencoders whose decoders a step runs.

`pretraining` trains one, `table1_training` one for every row of Table 1. `coverage` measures what a decoder reaches.
"""
