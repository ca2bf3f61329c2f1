# Rakesh et al., NeurIPS 2021, section 4. The number of iterations is not stated; the rate of the fits is not the
# paper's, see the class.
adapter = dict(
    type='TopologyAdapter', mode='set', iterations=10000, batch=16,
    every=4, fitting_steps=10, fitting_rate=1e-2,  # K, MaxIter_opt
    lr=1e-6, silhouette='chamfer', topology='chamfer', weights=dict(keypoints2d=0.0), prior='estimator')
