# Labelled frames of the free target domain: videos of a seed that is never scored, with exact 2D keypoints. People,
# clothes and scenes differ from the target's. The motion clips are the same, because the domain has no others.
labelled = dict(
    type='OpenStream', domain='wild', sequences=20, frames=40, seed=300, noise='clean', skeleton='spin24')
