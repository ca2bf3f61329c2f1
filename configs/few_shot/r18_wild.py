# Few-shot adaptation of the free start model to the free wild stream. The rates are those of a small network, chosen on
# seeds 100 and 101.
_base_ = [
    '../source/r18_wild.py', '../_base_/datasets/open_wild_shots.py', '../_base_/datasets/studio_views.py']

adapter = dict(
    type='FewShotMetric', shots=50, labelled=_base_.pop('labelled'),
    source=dict(batch=16, pool=512, dataset=_base_.pop('studio_views')),
    batch=16,  # of shots; 128 of either in the thesis
    steps=120, lr=1e-4, schedule='linear',
    variant='thesis', weights=dict(metric=1.0))  # the thesis tries 0.1 to 1
