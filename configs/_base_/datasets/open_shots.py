# Labelled frames of the free target domain: videos of a seed that no run is scored on, with exact 2D keypoints. They
# show other people, clothes and scenes than the target's, but the same motion clips, since the domain has no others.
_labelled = dict(
    type='OpenStream', domain='wild', sequences=20, frames=40, seed=300, noise='clean', skeleton='spin24')
