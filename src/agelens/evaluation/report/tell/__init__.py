"""What the figures say, section by section; all of it from the tree of `measure` alone."""
