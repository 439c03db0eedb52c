"""A package of one's own: a model, a task, a data set and a law that scaling-lab can sweep."""
