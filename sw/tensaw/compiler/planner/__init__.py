"""Where tensors live, in which pieces stages run, and the actions that follow from both."""
