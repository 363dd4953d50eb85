"""The live views of the course, one file each: panels, and no arithmetic of their own."""
