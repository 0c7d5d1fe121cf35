"""Other libraries' calls, answered by agelens, for code that moves over."""
