"""One file per source of images; each yields an `ImageSource` that the writer stores."""
