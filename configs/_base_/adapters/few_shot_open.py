# Few-shot adaptation of the free start model with labelled frames of the free domain. Rate, steps and augmentation were
# chosen on streams 100, 101 and 0 (docs/en/results/few_shot.md); the thesis tries 0.1 to 1 for the metric loss.
_base_ = ['../datasets/open_wild_shots.py', '../datasets/studio_views.py']

few_shot = dict(
    type='FewShotMetric', shots=50, choice='random', labelled=_base_.pop('labelled'),
    source=dict(batch=16, pool=512, dataset=_base_.pop('studio_views')),
    batch=16,  # of shots; 128 of either in the thesis
    steps=300, leave_out=0, lr=2e-4, schedule='linear', augment=1.0,
    variant='thesis', weights=dict(metric=1.0))
