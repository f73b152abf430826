"""Pictures of Y, U and V in RGB, by other libraries and in float64: which matrix, range and chroma each library has."""
