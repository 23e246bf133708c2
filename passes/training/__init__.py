"""Training passes at work: the graph as a torch module, and what trains it; torch lives here."""
