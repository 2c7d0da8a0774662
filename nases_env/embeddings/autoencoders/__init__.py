"""Autoencoders, each half of which exists twice: in numpy and, as its twin, in torch.

The numpy half (`Half.forward`) is what a step of the environment runs. The torch twin (`Half.module`) is what stage 1
trains and what the controller starts from; `Blueprint.read` takes its weights back. The price is a second copy of each
forward pass, an MLP's and an LSTM's, and tests that hold the two equal.

What numpy gains is not speed. Median microseconds of a decode on one core of an AMD EPYC virtual machine (numpy 2.4,
torch 2.14, `decoder_half.forward(x)` against `decoder_half.module()(x)` in inference mode):

| actions | MLP, numpy | MLP, torch | LSTM, numpy | LSTM, torch |
|---|---|---|---|---|
| 1 | 220 | 80 | 720 | 150 |
| 100 | 2,900 | 1,800 | 4,300 | 1,450 |
| 10,000 | 294,000 | 238,000 | 398,000 | 255,000 |

It gains two other things:

* A row's bits depend on that row alone (see `embeddings.base.BLOCK`), so K searches side by side see what each would
  see by itself. Torch's MLP rounds every one of 1,000 rows differently when that row is decoded alone.
* Decoding needs no torch, whose import takes 2 seconds and 470 MB in every process. A process that steps the
  environment of a surrogate takes 140 MB in all.
"""
