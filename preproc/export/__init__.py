"""Recipe or Model -> verified bundle."""
