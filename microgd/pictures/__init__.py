"""Pictures of computation graphs: `draw` makes one, and `film` plays backpropagation on it."""
