"""Networks for samples with several modalities: an encoder and an evidential head each, and one answer of all."""
