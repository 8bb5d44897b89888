"""What the commands of `dlcore` do; `dlcore.cli` says which options they take."""
