"""The commands, one a file: what each is asked for (`Options`) and what it does (`main`)."""
