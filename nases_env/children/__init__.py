"""Children: architectures as networks, the protocols and images by which they are trained, and what is kept of them."""
