"""Any number of pictures on the cores of a machine or of a cluster, each answered once."""
