"""UTKFace and other labelled faces: import, folds, checks."""
