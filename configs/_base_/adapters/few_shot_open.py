# Few-shot adaptation of the free start model with labelled frames of the free domain. The rates are those of a small
# network, chosen on seeds 100 and 101. Changed crops, 300 steps and 2e-4 won nothing with 50 shots on streams 0 to 2
# (docs/en/results/few_shot.md).
_base_ = ['../datasets/open_wild_shots.py', '../datasets/studio_views.py']

few_shot = dict(
    type='FewShotMetric', shots=50, choice='random', labelled=_base_.pop('labelled'),
    source=dict(batch=16, pool=512, dataset=_base_.pop('studio_views')),
    batch=16,  # of shots; 128 of either in the thesis
    steps=120, leave_out=0, lr=1e-4, schedule='linear', augment=None,
    variant='thesis', weights=dict(metric=1.0))  # the thesis tries 0.1 to 1
