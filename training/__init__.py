"""Making a model: data preparation, training, publishing. Nothing here is needed to use one."""
