"""The BAIR robot pushing set: TFRecord files, read without TensorFlow."""
