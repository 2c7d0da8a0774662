"""An architecture as a trained network. The only rooms that know convolutions."""
