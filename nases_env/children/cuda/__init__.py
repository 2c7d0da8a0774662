"""Other ways to compute what children are made of, for CUDA devices, and how the quickest of them are found."""
