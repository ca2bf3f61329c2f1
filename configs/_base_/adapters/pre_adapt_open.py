# The pre-adaptation of 3DHR-Co for the free start model, without a teacher. The rates are those of a small network,
# chosen on seed 100 of the free wild stream.
pre_adapt = dict(
    type='PreAdapt',
    epochs=160,  # of 3 videos x 8 frames: twelve passes over a stream of 8 x 40
    sequences=3, frames=8, lr=3e-4,
    corruption=dict(type='GaussianNoise', sigma=5.0),  # the paper has 35
    weights=dict(pose=10.0, betas=0.1, camera=1.0, keypoints2d=10.0), normalise='visible')
