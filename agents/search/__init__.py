"""One search: what it is, its folder and its record, and the training of what it found."""
