"""Made scenes: Landsat 5 TM over synthetic glaciers with known truth."""
