"""Pages on whole collections and on peers, written by the surveys in tests/, and what these share."""
