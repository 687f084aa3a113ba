"""From a data set to the weights of the best epoch."""
