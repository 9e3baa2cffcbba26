"""The BAIR robot pushing set: TFRecord files, read without TensorFlow."""

FOLDER = "softmotion30_44k"  # in which the set is published
