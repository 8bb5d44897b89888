"""What the book's scripts import as `dataset`."""
