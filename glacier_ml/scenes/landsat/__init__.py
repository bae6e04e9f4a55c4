"""What is Landsat's own: names, metadata files, digital numbers, quality bands, bundles."""
