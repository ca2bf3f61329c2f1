# Labelled observations for LandmarkHMR, which ship with hrtk.
bundled_landmarks = dict(type='BundledLandmarks')
