"""intaglio: compile a trained network to integers, proved exact, packed into one blob."""
