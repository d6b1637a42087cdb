//! The engine of vestore: windows, tokens, batches, models, scores, training.
