"""What the book's scripts import as `common`: functions, layers, optimisers and networks on NumPy arrays."""
