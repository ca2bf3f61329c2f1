# The free target domain, and labelled frames of it: videos of a seed that no run is scored on, with exact 2D keypoints.
# They show other people, clothes and scenes than the target's, but the same motion clips: the domain has no others.
_base_ = './open_wild.py'
_labelled = dict(
    type='OpenStream', domain='wild', sequences=20, frames=40, seed=300, noise='clean', skeleton='spin24')
