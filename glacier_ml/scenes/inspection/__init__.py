"""What is wrong with a scene, told before it is used."""
