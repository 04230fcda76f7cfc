"""Many trainings of one recipe, judged in folds: which settings are worth their size."""
