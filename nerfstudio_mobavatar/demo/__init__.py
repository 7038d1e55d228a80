"""A synthetic capture to try everything with: a clothed person, a dome of cameras, files in the AvatarReX layout."""
