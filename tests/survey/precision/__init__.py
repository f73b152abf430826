"""Half precision and 8 bits, beside the peers: networks, the files that each makes of them, and how far these are from float64."""
