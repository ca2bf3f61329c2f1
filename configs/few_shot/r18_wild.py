# Few-shot adaptation of the free start model to the free wild stream. The shots are frames of other videos of the same
# domain, seed 300, which no run is scored on. The rates are those of a small network, chosen on seeds 100 and 101.
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/hmr_r18.py', '../_base_/datasets/open_wild.py']

estimator = dict(weights='open:r18_studio')
adapter = dict(
    type='FewShotMetric', shots=50,
    labelled=dict(type='OpenStream', domain='wild', sequences=20, frames=40, seed=300, noise='clean',
                  skeleton='spin24'),
    source=dict(batch=16, pool=512, dataset=dict(type='OpenViews', domain='studio', resolution=112, length=512, seed=2,
                                                 cache=True)),
    batch=16,  # of shots; 128 of either in the thesis
    steps=120, lr=1e-4, schedule='linear',
    variant='thesis', weights=dict(metric=1.0))  # the thesis tries 0.1 to 1
